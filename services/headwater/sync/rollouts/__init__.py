"""Rollouts of this process: bulk and policy changes that reach an account's records stage by stage."""
