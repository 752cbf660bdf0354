"""Orders the effects of identity: what is asked of the store, in which order. Decides nothing itself."""
