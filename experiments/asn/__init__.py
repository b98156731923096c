"""Skills from video: TCN and ASN, from demonstrations to an embedding, and to a policy."""
