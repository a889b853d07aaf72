"""What the real LeaderWorkerSet and llmaz managers make, compared with what Muster expects them to make."""
