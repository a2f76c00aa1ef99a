"""What the tasks that tell people of something have in common: the text, the channels, and how each is written to."""
