"""Tabs of the app: their components and API endpoints."""
