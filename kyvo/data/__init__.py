"""Where pictures and scenes come from: sampling, ray tracing, and data sets at rest."""
