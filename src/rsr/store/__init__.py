"""What a run knows, on disk: rollouts with their verdicts, and the run directory around them."""
