// Loads the library when a command runs. It takes most of the command's start, and help and bad usage do not need it.

export const loadLibrary = () => import('../index.js');
