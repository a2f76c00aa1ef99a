"""The reference inference service that the shipped playbooks operate; the engine never imports it."""
