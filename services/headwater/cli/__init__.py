"""The `headwater` command: what people and scripts type. Talks to the services through their v1 contracts only."""
