"""Model families: components, objective, sampler and units of one kind of diffusers pipeline."""
