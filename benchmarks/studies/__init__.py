"""Whether the answers of `bench.infer` and `ort.optimize` are right, and how often: asked on models of known work."""
