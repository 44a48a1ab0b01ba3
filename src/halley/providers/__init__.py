"""Places that run predictions; each fulfils `dispatch.ports.Provider`."""
