"""Structured latents (SLAT) and TRELLIS's networks over them (https://arxiv.org/abs/2412.01506)."""
