"""Images for training: their sources, their cache, and the order they are served in.

A new kind of collection needs a class with the methods of `sources.ImageSource`, if any of its
pictures can be read by its index; they are decoded once, into a cache. One that can only be read
in order, and may be too large for a disk, needs those of `streaming.shards.Shards`.
"""
