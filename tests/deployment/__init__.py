"""Tests of what is deployed: the wheel, the image, the services around the server, and how they are watched."""
