"""What rotates a log that is written meanwhile: `logs.rotate` is the task."""
