"""Path-traced pictures of the same scenes: Blender's Cycles (``bpy``) in a process of its own."""
