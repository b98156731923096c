"""A user's own synchronised films, or TCN's published folders, as a store of videos."""
