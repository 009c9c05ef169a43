"""Images that are read from shards as they are needed."""
