"""The frozen base model: loading, prompts, latents, noise, and the one LoRA that is resident in its U-Net."""
