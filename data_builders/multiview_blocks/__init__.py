"""Demonstrations and failures of four block tasks, the data set of ASN's experiment."""
