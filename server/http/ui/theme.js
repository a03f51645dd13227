// Before anything is painted: the choice between light and dark, if one was made.
document.documentElement.dataset.theme = localStorage.getItem("yurt-theme") || "";
