"""What makes images: a VAE for each class, one VAE told the class, and a diffusion in its latent space."""
