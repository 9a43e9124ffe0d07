"""Read images, videos, cameras and streams; write pictures and videos."""
