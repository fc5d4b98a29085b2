"""Images as model inputs."""
