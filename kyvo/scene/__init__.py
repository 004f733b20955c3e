"""What a scene is: typed data, its fields and bins, its files. No tokens, no models."""
