"""The lowest seam: everything that is read of a machine or done to it passes here."""
