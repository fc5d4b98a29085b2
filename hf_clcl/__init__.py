"""Continual learning of CLIP and its relatives on the Hugging Face stack."""

import lazy_loader

from .utils.moved import support_old_paths
from .utils.version import __version__

# `__init__.pyi` lists the public names. Each is imported at its first use, so `import hf_clcl` does not import torch.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
__all__ += ["__version__"]
support_old_paths()
