"""A Streamlit app with a second page."""

import streamlit as st

st.title("hello from streamlit")
st.slider("How many?", 1, 10)
