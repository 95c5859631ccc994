"""From a model to the engine that runs it: the plan, the build, the cache of what was built before."""
