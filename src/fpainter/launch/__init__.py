"""What starts the commands: configs, processes, sweeps, and sentences for what goes wrong."""
