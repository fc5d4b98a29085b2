"""What a recipe and a command line may say."""
