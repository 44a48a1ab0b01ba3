"""Places that run predictions; each implements `dispatch.ports.Provider`."""
