"""Measures of scenes, images and answers, each with its protocol stated."""
