"""What a run is: its configuration, its places, its record."""
