"""What the end-to-end tests share: streams, reference MD5s, and a decoder to run clients against."""
