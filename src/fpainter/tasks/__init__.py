"""What the commands do, one file each; they are imported when the command line is understood."""
