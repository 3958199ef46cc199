"""What an answer says: its spelling (vocabulary), grammar (latex), worth (tree), and when two are equal (equality)."""
