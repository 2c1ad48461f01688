"""One spec in, one record out: the training loop, its recipes, and the job that a worker gets."""
