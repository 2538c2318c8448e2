"""Floor 7: what chapters see (set-up, checks, figures, sliders, exercises, verdicts)."""
