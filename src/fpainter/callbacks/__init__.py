"""Lightning callbacks: they read the module and never change it."""
