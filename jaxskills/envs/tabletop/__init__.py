"""A Panda and coloured blocks on a table: four tasks, their success, and who demonstrates them."""
