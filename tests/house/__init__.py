"""What holds for the whole project."""
