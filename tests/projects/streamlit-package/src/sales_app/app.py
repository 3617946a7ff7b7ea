"""A Streamlit app inside a package: the script imports the package it lies in."""

import streamlit as st

from sales_app.figures import GREETING

st.title(GREETING)
