"""Task contracts, episodes and the training store: what is recorded, and how it becomes tensors."""
