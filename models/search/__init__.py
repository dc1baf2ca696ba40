"""Finding good generation settings by measured quality: propose, make a fixed sample, score, stop when it is enough."""
