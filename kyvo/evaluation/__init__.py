"""From files of predictions and truths to figures: what is read, what is left out, what is reported."""
