"""What a text asks of a scene: programs, their meaning, their JSON and their English. No torch."""
