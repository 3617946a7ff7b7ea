import streamlit as st

st.title("the second page")
