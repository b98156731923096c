"""The maze of SPiRL: layouts, dynamics, view, and the environment made of them."""
